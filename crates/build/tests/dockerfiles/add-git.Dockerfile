ARG BASE
FROM ${BASE}
ADD --keep-git-dir=true https://example.org/project.git#v1.0:docs /docs
ADD git@example.org:group/project.git /project
