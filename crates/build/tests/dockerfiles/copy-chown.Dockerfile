ARG BASE
FROM ${BASE}
ARG OWNER=app
COPY --chown=1000:50 a /numbers
COPY --chown=${OWNER}:${OWNER} a /names
COPY --chown=app a /name
ADD --chown=app:50 b /mixed
