#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace skerry::http {

// RFC 1952, at the fastest level: for bodies that are made once and sent once. Empty when there is no memory for it: send the body as it is.
std::string Gzip(std::string_view body);
// The same of a body that comes in pieces; packed bytes are appended. false: no memory, the whole is of no use.
class Gzipper {
 public:
  Gzipper();
  ~Gzipper();
  Gzipper(const Gzipper&) = delete;
  Gzipper& operator=(const Gzipper&) = delete;
  bool Add(std::string_view piece, std::string& out);
  bool Finish(std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};
// The other way. Empty when it is no gzip stream, is damaged, or would be longer than `limit` bytes.
std::string Gunzip(std::string_view packed, std::size_t limit);

}  // namespace skerry::http
