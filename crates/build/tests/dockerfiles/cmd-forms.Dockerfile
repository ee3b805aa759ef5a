ARG BASE
FROM ${BASE}
CMD [ "a", "b c", "d\"e", "\u00e9" ]
CMD ["not", "json",]
CMD
CMD []
