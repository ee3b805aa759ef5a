ARG BASE
FROM ${BASE}
WORKDIR /w
COPY app.py .
COPY app.py ./x/
COPY src s
WORKDIR deeper
COPY app.py ../up
