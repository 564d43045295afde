#!/usr/bin/env python3
"""pods.py: a pod of about 6 KB as a running one looks (several containers, environment, volumes, status); "{n}" in its name and address is left to skerry_load."""
import json
def container(i):
    return {"name": f"c{i}", "image": f"registry.example.com/team/service-{i}:v1.2.{i}", "args": ["--listen=0.0.0.0:8080", "--log-format=json", f"--shard={i}"],
            "ports": [{"name": "http", "containerPort": 8080 + i, "protocol": "TCP"}],
            "env": [{"name": f"SETTING_{k}", "value": f"value-{k}-of-container-{i}"} for k in range(5)]
                   + [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/service", "readOnly": True}, {"name": "scratch", "mountPath": "/scratch"}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080 + i, "scheme": "HTTP"}, "initialDelaySeconds": 5, "periodSeconds": 10},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080 + i, "scheme": "HTTP"}, "periodSeconds": 5}}
pod = {"apiVersion": "v1", "kind": "Pod",
       "metadata": {"name": "p{n}", "namespace": "bench", "labels": {"app": "service", "tier": "backend", "shard": "s{n}", "pod-template-hash": "6d4cf56db6"},
                    "annotations": {f"example.com/note-{i}": "a remark that some tool keeps with the object" for i in range(2)}},
       "spec": {"containers": [container(0), container(1)], "automountServiceAccountToken": False, "schedulerName": "nobody",
                "volumes": [{"name": "config", "configMap": {"name": "service-config"}}, {"name": "scratch", "emptyDir": {}}],
                "tolerations": [{"key": f"example.com/t{i}", "operator": "Exists", "effect": "NoSchedule"} for i in range(3)]}}
print(json.dumps(pod))
