ARG BASE
FROM ${BASE} AS build
SHELL ["/bin/sh", "-ec"]
WORKDIR /src
COPY Makefile main.c ./
RUN cp main.c /usr-bin && chmod 755 /usr-bin && mkdir -p /dest/usr/bin && mv /usr-bin /dest/usr/bin/app
FROM ${BASE}
COPY --from=build /dest/ /
RUN ls -l /usr/bin/app | cut -c1-10 >/ls
CMD ["app"]
