#pragma once
#include "embedded-kube-shim/server/rest.h"

// metrics.k8s.io and what a kubelet says of what it uses. Everything is measured for the request: see MetricsSource.
namespace skerry::kube {

// An object that is made for the answer, in canonical form and with its kind.
ItemPtr MadeItem(const RestRequest& request, const Key& key, json::Value object);

void ServeMetrics(Rest& rest, RestRequest request, RestDone done);

// The kubelet's /stats/summary (JSON), /metrics/resource and /metrics/cadvisor (Prometheus' text form). All may block for half a second.
http::Reply StatsSummary(const Engine& engine, MetricsSource& usage);
http::Reply ResourceMetrics(const Engine& engine, MetricsSource& usage);
http::Reply ContainerMetrics(const Engine& engine, MetricsSource& usage);

}  // namespace skerry::kube
