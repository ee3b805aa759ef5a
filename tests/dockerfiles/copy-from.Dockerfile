ARG BASE
FROM ${BASE} AS build
RUN mkdir -p /out/x && echo a >/out/a && echo b >/out/x/b && chown 3:4 /out/a && chmod 600 /out/x/b && ln -s a /out/l
FROM ${BASE} AS other
RUN echo other >/other
FROM ${BASE}
COPY --from=build /out /o
COPY --from=build /out/a /out/l /picked/
COPY --from=0 /out/x/ /zero
COPY --from=1 /other /
COPY --from=build out/a /relative
