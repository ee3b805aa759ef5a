ARG BASE
FROM ${BASE}
RUN mkdir /there
COPY --link app.py /there/
COPY --link src /linked
COPY --link --chown=1:1 app.py /owned
