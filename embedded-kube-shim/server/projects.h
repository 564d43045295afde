#pragma once
#include "embedded-kube-shim/server/rest.h"

// project.openshift.io: namespaces as those who work in them see them. Who may see a namespace sees its project; who may create project
// requests gets a namespace with the role "admin" in it.
namespace skerry::kube {

void ServeProjects(Rest& rest, RestRequest request, RestDone done);
void ServeProjectRequests(Rest& rest, RestRequest request, RestDone done);

}  // namespace skerry::kube
