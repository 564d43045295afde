#include <catch2/catch.hpp>

#include "embedded-kube-shim/apis/text_diff.h"

using skerry::kube::UnifiedDiff;

TEST_CASE("a unified diff shows three lines around each change") {
  CHECK(UnifiedDiff("a\nb\nc\nd\ne\nf\ng\nh", "a\nb\nc\nd\nX\nf\ng\nh") == "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+X\n f\n g\n h\n");
  CHECK(UnifiedDiff("a\nb", "a\nb").empty());
  CHECK(UnifiedDiff("a", "b") == "@@ -1 +1 @@\n-a\n+b\n");
  CHECK(UnifiedDiff("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", "1\nx\n3\n4\n5\n6\n7\n8\n9\ny\n11") ==
        "@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -7,5 +7,5 @@\n 7\n 8\n 9\n-10\n+y\n 11\n");
}
