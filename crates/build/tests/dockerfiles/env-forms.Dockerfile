ARG BASE
FROM ${BASE}
ENV ONE=1
ENV TWO two words and "quotes"
ENV A="x y" B='z w' C=e\ f D=
ENV E="a\"b" F='a"b' G=a=b
