FROM scratch
COPY a /
COPY d /d
CMD ["/a"]
