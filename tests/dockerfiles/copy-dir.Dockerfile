ARG BASE
FROM ${BASE}
COPY src /src
COPY src /src2/
COPY src/ /src3
COPY src/. /src4
COPY src html /both/
COPY . /all
