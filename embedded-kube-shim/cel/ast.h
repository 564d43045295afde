#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "embedded-kube-shim/cel/type.h"
#include "embedded-kube-shim/cel/value.h"

// The syntax tree, decorated by the checker and the planner. Operators are calls: "_+_", "_[_]", "_?_:_", "@in", "!_", "-_", …
namespace skerry::kube::cel {

struct Overload;
struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : std::uint8_t { kLiteral, kIdent, kSelect, kCall, kList, kMap, kStruct, kLoop };

// A loop over a list or a map that folds into an accumulator; every macro becomes one.
struct Loop {
  std::string variable, second;   // second: only of two-variable forms
  std::string accumulator;
  ExprPtr range, init, condition, step, result;
  int variable_slot = -1, second_slot = -1, accumulator_slot = -1;
};

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  std::int32_t offset = 0;         // code points from the start: where errors point
  std::uint32_t id = 0;            // unique in its tree
  bool test_only = false;          // kSelect: has(x.f)
  bool is_optional_select = false;
  std::string name;                // identifier, field, function, struct type
  Val literal;
  ExprPtr target;                  // select operand, receiver
  std::vector<ExprPtr> args;       // call arguments, list items, map: key, value, key, value…; struct: values
  std::vector<std::string> fields;         // of a struct
  std::vector<bool> optional_entries;      // of lists, maps and structs: `?x`
  std::unique_ptr<Loop> loop;

  // Checker.
  TypePtr type;
  std::vector<const Overload*> overloads;  // candidates of a call; one when the argument types are known
  // Planner.
  int slot = -1;                   // kIdent: variable or frame slot
  enum class Ref : std::uint8_t { kNone, kVariable, kFrame, kTypeName } ref = Ref::kNone;
  std::shared_ptr<const void> prepared;    // a constant pattern, compiled
};

}  // namespace skerry::kube::cel
