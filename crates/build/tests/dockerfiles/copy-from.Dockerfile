ARG BASE
FROM ${BASE} AS first
RUN mkdir -p /out/sub && echo 1 >/out/one && echo 2 >/out/sub/two
FROM ${BASE}
COPY --from=first /out /by-name
COPY --from=0 /out/one /by-number
COPY --from=first out/sub/ relative/
COPY --from=first /out/* /flat/
