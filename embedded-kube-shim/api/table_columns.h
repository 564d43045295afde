#pragma once
// Tables generated from embedded-kube-shim/apis/data/columns.txt. Private to embedded-kube-shim/api.
namespace skerry::kube::columns {

struct ColumnRow {
  const char *name, *type, *format;
  int priority;
  const char* description;
};
struct KindRow {
  const char *group, *kind;
  int first, count;
};
extern const char kNameDescription[], kAgeDescription[];
extern const ColumnRow kColumns[];
extern const KindRow kKinds[];   // sorted by group and kind
extern const int kKindCount;

}  // namespace skerry::kube::columns
