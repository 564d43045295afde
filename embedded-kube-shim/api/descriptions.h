#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What `kubectl explain` and editors show: our own sentences for the fields that people ask about most. Part of the OpenAPI documents.
namespace skerry::kube::openapi {

// `definition` as in OpenAPI ("io.k8s.api.core.v1.PodSpec"), `field` its JSON name; an empty field means the type itself. Empty when nothing is said.
std::string_view DescriptionOf(std::string_view definition, std::string_view field);
// Every (definition, field) there is a sentence for, without the generic ones.
std::vector<std::pair<std::string, std::string_view>> DescribedFields();

}  // namespace skerry::kube::openapi
