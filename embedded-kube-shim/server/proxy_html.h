#pragma once
#include <string>
#include <string_view>

namespace skerry::kube {

// Pages that come through a proxy path link to "/…" of their own server: every such link in an attribute that holds one (href, src,
// action, …) gets `prefix` put before it. Scripts, styles and comments are left alone; malformed HTML passes unchanged from where it breaks.
std::string RewriteLinks(std::string_view html, std::string_view prefix);

// The same for one address, of a Location header for instance: "/x" becomes "<prefix>/x"; "//host/x" and "http://host/x" stay.
std::string RewriteLink(std::string_view link, std::string_view prefix);

}  // namespace skerry::kube
