FROM gcc:13 AS build
WORKDIR /usr/src/app
COPY Makefile ./
COPY src ./src
RUN make -j"$(nproc)" CFLAGS="-O2 -static" && strip app

FROM scratch
COPY --from=build /usr/src/app/app /app
USER 65534:65534
ENTRYPOINT ["/app"]
