#include "tests/fault/store_full.h"
namespace skerry::fault_test {
int DiskFull() { return 1; }
}
