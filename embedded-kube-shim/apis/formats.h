#pragma once
#include <string>
#include <string_view>
#include <vector>

// Text formats of the API: what is wrong with a value, in the API's words. Empty when nothing is. Pure functions.
namespace skerry::kube::format {

using Messages = std::vector<std::string>;

Messages Dns1123Label(std::string_view s);
Messages Dns1123Subdomain(std::string_view s);
Messages Dns1123SubdomainContent(std::string_view s);   // the same rule in newer words
Messages Dns1123SubdomainUnderscore(std::string_view s);
Messages Dns1035Label(std::string_view s);
Messages WildcardDns1123Subdomain(std::string_view s);
Messages QualifiedName(std::string_view s);        // also label keys
Messages LabelValue(std::string_view s);
Messages CIdentifier(std::string_view s);
Messages PortName(std::string_view s);
Messages Percent(std::string_view s);
Messages HttpHeaderName(std::string_view s);
Messages EnvVarName(std::string_view s);           // relaxed form
Messages ConfigMapKey(std::string_view s);
Messages DecimalInteger(std::string_view s);
Messages PathSegmentName(std::string_view s);
Messages PathSegmentPrefix(std::string_view s);
Messages Sysctl(std::string_view s);
Messages ConditionReason(std::string_view s);
Messages Ip(std::string_view s);                   // strict: no leading zeros, not IPv4-mapped
Messages IpCanonical(std::string_view s);          // and in canonical form
Messages Cidr(std::string_view s);                 // strict, host bits zero
Messages CidrCanonical(std::string_view s);
Messages InterfaceAddress(std::string_view s);
// An address or network in a field that takes old forms, too: what a client should be told of a form that it should not use. Nothing for invalid texts.
void IpWarnings(std::string_view path, std::string_view value, Messages& out);
void CidrWarnings(std::string_view path, std::string_view value, Messages& out);
Messages LocalDescendingPath(std::string_view s);
Messages LocalNonReservedPath(std::string_view s);
Messages PathNoBacksteps(std::string_view s);

bool IsDns1123Label(std::string_view s);
bool IsDns1123Subdomain(std::string_view s);
bool IsPercent(std::string_view s);
// Parsed addresses: 4 or 16 bytes; empty when the text is none. `strict` refuses leading zeros.
std::string ParseIp(std::string_view s, bool strict);
bool IsIpv6(std::string_view s);

// A check by the name that the rule tables use; null when there is none.
using Check = Messages (*)(std::string_view);
Check Find(std::string_view name);

}  // namespace skerry::kube::format
