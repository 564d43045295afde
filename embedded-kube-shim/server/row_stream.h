#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/http/message.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/server/engine.h"
#include "embedded-kube-shim/server/field_selector.h"
#include "embedded-kube-shim/server/timers.h"

// What a page of the console shows, live, in one reply: rows instead of objects, any number of subscriptions in one stream.
//
// One JSON document a line (NDJSON); "id" names the subscription, whose client keeps a table by uid:
//   {"id":I,"t":"reset","cols":[{"name":N,"type":T,"format":F,"priority":P},…]}   forget every row; a snapshot follows
//   {"id":I,"t":"resume","cols":[…]}                        nothing was missed since the revision that was asked for; changes follow
//   {"id":I,"t":"U","rows":[[uid,namespace,name,created,deleted,cell…,extra…],…]}  these rows are new or changed
//   {"id":I,"t":"D","uids":[…]}                             these are gone, or left the selection
//   {"id":I,"t":"S","rv":"N"}                               everything up to revision N has been said: resume from it
//   {"id":I,"t":"E","code":403,"reason":R,"message":M}      this subscription has ended; the others go on
//   {"t":"B"}                                               still here
namespace skerry::kube {

struct RowQuery {
  std::string id;
  ResourcePtr def;
  std::string version, ns;
  text::LabelSelector labels;
  FieldSelector fields;
  store::Revision after = 0;                        // 0: a snapshot first; too old for the kept history: as 0
  bool cells = true;                                // the columns that kubectl prints
  std::vector<std::vector<std::string>> extra;      // paths of values that follow the cells; an empty path is the object without managedFields
};
struct RowRefusal {
  std::string id;
  Error error;
};

// The body. Ends in an orderly way at `deadline`, when the client asks again with what it has.
std::unique_ptr<http::Source> NewRowStream(const Engine& engine, Timers& timers, std::vector<RowQuery> queries, std::vector<RowRefusal> refusals,
                                           std::chrono::steady_clock::time_point deadline);

}  // namespace skerry::kube
