ARG BASE
FROM ${BASE}
ARG A=1
ARG B="two words"
RUN echo $A
RUN ["true"]
ENV X=1
RUN echo $A $B
COPY --chown=1:2 --chmod=600 app.py requirements.txt /to/
ADD --chown=3 app.py /add
WORKDIR /w
USER 1
VOLUME ["/v"]
EXPOSE 80
LABEL a=b
STOPSIGNAL 3
