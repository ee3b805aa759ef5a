ARG BASE
FROM ${BASE}
COPY --exclude=*.txt src /notxt
COPY --exclude=**/*.txt src /nodeeptxt
COPY --exclude=deep --exclude=*.md src /two
