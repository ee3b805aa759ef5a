ARG BASE
FROM ${BASE}
COPY --exclude=*.log --exclude=s/** d /d
ADD --exclude=b . /all/
