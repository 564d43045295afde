#include "core/http/message.h"

#include "core/base/strings.h"

namespace skerry::http {

std::string_view Get(const Headers& headers, std::string_view name) {
  for (const auto& h : headers) {
    if (h.name.size() == name.size() && EqualsIgnoreCase(h.name, name)) return h.value;
  }
  return {};
}

bool HasToken(const Headers& headers, std::string_view name, std::string_view token) {
  for (const auto& h : headers) {
    if (!EqualsIgnoreCase(h.name, name)) continue;
    for (const auto piece : Split(h.value, ',')) {
      if (EqualsIgnoreCase(Trim(piece), token)) return true;
    }
  }
  return false;
}

std::vector<std::string> ListValues(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& h : headers) {
    if (!EqualsIgnoreCase(h.name, name)) continue;
    for (const auto piece : Split(h.value, ',')) {
      if (const auto trimmed = Trim(piece); !trimmed.empty()) out.emplace_back(trimmed);
    }
  }
  return out;
}

std::string_view Request::Query(std::string_view key) const {
  for (const auto& p : query) {
    if (p.key == key) return p.value;
  }
  return {};
}

bool Request::HasQuery(std::string_view key) const {
  return std::any_of(query.begin(), query.end(), [&](const auto& p) { return p.key == key; });
}

std::vector<std::string_view> Request::QueryAll(std::string_view key) const {
  std::vector<std::string_view> out;
  for (const auto& p : query) {
    if (p.key == key) out.push_back(p.value);
  }
  return out;
}

namespace {
Response PlainText(int status, std::string text) {
  Response out;
  out.status = status;
  out.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  out.body = Bytes(std::move(text));
  return out;
}
}  // namespace

Response Handler::TooLarge(const Request&, std::int64_t limit) const {
  return PlainText(413, Cat("request body is larger than ", limit, " bytes\n"));
}

Response Handler::Overloaded(const Request&) const {
  Response out = PlainText(429, "too many requests, try again later\n");
  out.headers.push_back({"Retry-After", "1"});
  return out;
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Entity";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

}  // namespace skerry::http
