#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "embedded-kube-shim/cel/program.h"

// Expressions that select devices (resource.k8s.io): the variable is device, with driver, allowMultipleAllocations, attributes and capacity, the
// last two by domain and name. cel.bind may be used.
namespace skerry::kube::cel {

// What every Kubernetes expression may use, and cel.bind.
const Library& DeviceLibrary();

// kInvalid with the message of a field error: "compilation failed: …", "must evaluate to bool or the unknown type, not int".
Result<ProgramPtr> CompileDeviceSelector(std::string_view expression);

}  // namespace skerry::kube::cel
