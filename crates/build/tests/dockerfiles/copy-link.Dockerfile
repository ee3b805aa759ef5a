ARG BASE
FROM ${BASE}
COPY --link a /linked
COPY --link=false a /not
ADD --link=true --chown=1 b /b
