#!/usr/bin/env bash
# Informers of client-go over WatchList and protobuf, across a stop and a kill of the server.
source "$(dirname "$0")/lib.sh"
prepare watchlist
start_server 127.0.0.1:0
# Each informer also compares its first state with a list of its own and ends the program when they differ.
run_with_restart env KUBE_WATCHLIST_INCONSISTENCY_DETECTOR=true "$clients/watchlist" @KUBECONFIG@ "$work/restart"
