#include "core/http/gzip.h"

#include <zlib.h>

namespace skerry::http {

std::string Gzip(std::string_view body) {
  z_stream z{};
  constexpr int kGzipWindow = 15 + 16, kMemory = 8;
  if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&z, body.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  z.avail_in = static_cast<uInt>(body.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return result == Z_STREAM_END ? out : std::string();
}

struct Gzipper::State {
  z_stream z{};
  bool good = false;

  bool Run(std::string_view piece, int flush, std::string& out) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    z.avail_in = static_cast<uInt>(piece.size());
    int result = Z_OK;
    do {
      char packed[32 << 10];
      z.next_out = reinterpret_cast<Bytef*>(packed);
      z.avail_out = sizeof packed;
      result = deflate(&z, flush);
      out.append(packed, sizeof packed - z.avail_out);
    } while (z.avail_out == 0 && result == Z_OK);
    return flush == Z_FINISH ? result == Z_STREAM_END : result == Z_OK || result == Z_BUF_ERROR;
  }
};

Gzipper::Gzipper() : state_(std::make_unique<State>()) {
  constexpr int kGzipWindow = 15 + 16, kMemory = 8;
  state_->good = deflateInit2(&state_->z, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) == Z_OK;
}

Gzipper::~Gzipper() {
  if (state_->good) deflateEnd(&state_->z);
}

bool Gzipper::Add(std::string_view piece, std::string& out) { return state_->good && (piece.empty() || state_->Run(piece, Z_NO_FLUSH, out)); }
bool Gzipper::Finish(std::string& out) { return state_->good && state_->Run({}, Z_FINISH, out); }

std::string Gunzip(std::string_view packed, std::size_t limit) {
  z_stream z{};
  constexpr int kGzipWindow = 15 + 16;
  if (inflateInit2(&z, kGzipWindow) != Z_OK) return {};
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= limit) {
    char piece[16 << 10];
    z.next_out = reinterpret_cast<Bytef*>(piece);
    z.avail_out = sizeof piece;
    result = inflate(&z, Z_NO_FLUSH);
    out.append(piece, sizeof piece - z.avail_out);
  }
  inflateEnd(&z);
  return result == Z_STREAM_END && out.size() <= limit ? out : std::string();
}

}  // namespace skerry::http
