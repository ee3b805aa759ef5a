FROM debian:bookworm-slim
ARG DEBIAN_FRONTEND=noninteractive
ENV LANG=C.UTF-8 \
    LC_ALL=C.UTF-8
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends \
        ca-certificates \
        curl \
        # needed for signatures
        gnupg \
    ; \
    rm -rf /var/lib/apt/lists/*
