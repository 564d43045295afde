#include "embedded-kube-shim/cel/parser.h"
namespace skerry::kube::cel {
std::vector<SourceError> SyntaxErrors(std::string_view, const std::vector<Token>& tokens) { return {{tokens.back().offset, "Syntax error"}}; }
}  // namespace skerry::kube::cel
