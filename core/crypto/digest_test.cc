#include "core/crypto/digest.h"

#include <catch2/catch.hpp>

namespace skerry::crypto {

TEST_CASE("SHA-256 gives FIPS 180-2's answers however the input is cut") {
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(OciDigest("") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 digest;
  digest.Update("a");
  digest.Update("bc");
  CHECK(digest.FinishHex() == Sha256Hex("abc"));
}

}  // namespace skerry::crypto
