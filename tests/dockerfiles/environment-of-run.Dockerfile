ARG BASE
FROM ${BASE}
RUN env | grep -vE '^(HOSTNAME|SHLVL|PWD)=' | sort >/env
USER app
WORKDIR /tmp
RUN env | grep -E '^HOME=' >/tmp/home
