ARG BASE
FROM ${BASE} AS cleared
ENTRYPOINT ["entry"]
FROM ${BASE} AS kept
CMD ["one", "two"]
ENTRYPOINT ["entry"]
FROM cleared AS shell
CMD echo "$HOME" 'single'
FROM shell
ENTRYPOINT exec top -b
