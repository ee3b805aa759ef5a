ARG BASE
FROM ${BASE}
COPY a /a
COPY a b /many/
COPY d /d
COPY d/ /d2/
COPY . /all/
COPY ./d/../a /clean
COPY a b /two
