ARG BASE
FROM ${BASE}
RUN mkdir /real && ln -s /real /alias && ln -s ../../etc /up
COPY app.py /alias/
COPY app.py /up/app.py
COPY src /alias/
