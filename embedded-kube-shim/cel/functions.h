#pragma once
#include <span>
#include <string>
#include <string_view>

#include "embedded-kube-shim/cel/env.h"

// The function tables, one per library. Inside embedded-kube-shim/cel only.
namespace skerry::kube::cel {

using Args = std::span<const Val>;

void AddStandard(Library& library);      // operators, conversions, texts, times
void AddOptionals(Library& library);
void AddTexts(Library& library);         // charAt, split, …
void AddFormat(Library& library);        // string.format
void AddLists(Library& library);         // of Kubernetes and of the language's extension
void AddSets(Library& library);
void AddPatterns(Library& library);      // matches, find, findAll
void AddUrls(Library& library);
void AddAddresses(Library& library);     // ip, cidr
void AddQuantities(Library& library);
void AddVersions(Library& library);      // semver
void AddNamedFormats(Library& library);  // format.dns1123Label() …
void AddAuthorizer(Library& library);
void AddJsonPatch(Library& library);
void AddMath(Library& library);
void AddEncoders(Library& library);

Val Arithmetic(char op, const Val& a, const Val& b);   // + - * / % of numbers of one kind, times and durations
std::uint64_t PatternSizeOf(const Val& named_format);   // length of the pattern a named format stands for, for its price
std::string FormatValue(const Val& value);             // as "%s" prints it

// string.format(): the text, or the reason why not. With `types_only` arguments are checked by their declared types as far as those tell.
Val Format(std::string_view pattern, Args args);
struct FormatProblem { int argument = -1; std::string message; };   // argument -1: the pattern itself
bool CheckFormat(std::string_view pattern, std::span<const Type* const> types, FormatProblem* problem);

}  // namespace skerry::kube::cel
