ARG BASE
FROM ${BASE} AS chef
WORKDIR /build
COPY Cargo.toml ./
RUN mkdir src && echo 'fn main(){}' >src/main.rs && mkdir -p target && echo cached >target/cache
COPY src ./src
RUN --mount=type=cache,target=/usr/local/cargo/registry cat src/main.rs >target/app && chmod 755 target/app
FROM scratch
COPY --from=chef /build/target/app /app
ENTRYPOINT ["/app"]
