#!/bin/sh
echo entry "$@"
