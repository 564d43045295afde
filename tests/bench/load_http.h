#pragma once
#include "tests/bench/load_connection.h"

namespace skerry::bench {

std::unique_ptr<Connection> OpenHttp1(Loop& loop, const Target& target);
std::unique_ptr<Connection> OpenHttp2(Loop& loop, const Target& target);

}  // namespace skerry::bench
