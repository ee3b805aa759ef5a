ARG BASE
FROM ${BASE} AS builder
WORKDIR /app
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache mkdir -p /venv/bin && cp requirements.txt /venv/installed
FROM ${BASE}
RUN echo 'app:x:1000:1000::/app:/bin/sh' >>/etc/passwd && echo 'app:x:1000:' >>/etc/group
COPY --from=builder /venv /venv
WORKDIR /app
COPY --chown=app:app . .
ENV PATH="/venv/bin:$PATH"
USER app
EXPOSE 8000
HEALTHCHECK --interval=30s CMD wget -q localhost:8000 || exit 1
CMD ["python", "-m", "flask", "run"]
