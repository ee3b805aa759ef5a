ARG BASE
FROM ${BASE}
RUN mkdir -p /d/in && echo mine >/d/in/mine && chmod 711 /d/in
ADD plain.tar /d/
