#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/cel/ast.h"
#include "embedded-kube-shim/cel/parser.h"

// What expressions may refer to. Immutable after construction, shared between threads.
namespace skerry::kube::cel {

struct CallSite {
  const void* prepared = nullptr;   // see Overload::prepare
};

// Arguments (receiver first) are no errors and fit the declared types.
using Implementation = Val (*)(const CallSite& site, std::span<const Val> args);
// Work that a constant argument allows to do once: a compiled pattern. Null when there is nothing to prepare; *error when it cannot work.
using Prepare = std::shared_ptr<const void> (*)(std::span<const Val* const> constant_args, std::string* error);

struct Overload {
  std::string id;
  Signature signature;
  Implementation implementation = nullptr;
  Prepare prepare = nullptr;
};

struct Function {
  std::string name;
  std::vector<Overload> overloads;
};

struct FunctionRow {
  std::string_view name, id, signature;
  Implementation implementation;
  Prepare prepare = nullptr;
};

class Library {
 public:
  void Add(std::span<const FunctionRow> rows);
  const Function* Find(std::string_view name) const {
    const auto at = functions_.find(name);
    return at == functions_.end() ? nullptr : &at->second;
  }
  // Identifiers that are types: "int", "google.protobuf.Timestamp", "net.IP".
  void AddTypeName(std::string name, TypePtr type) { types_[std::move(name)] = std::move(type); }
  TypePtr FindType(std::string_view name) const {
    const auto at = types_.find(name);
    return at == types_.end() ? nullptr : at->second;
  }
  MacroSet macros;
  bool uniform_literals = true;    // [1, 'a'] is refused (after type checking, outside of format())

 private:
  std::map<std::string, Function, std::less<>> functions_;
  std::map<std::string, TypePtr, std::less<>> types_;
};

// What every Kubernetes expression may use.
const Library& KubernetesLibrary();
// The same and jsonpatch.escapeKey (mutating admission policies).
const Library& MutationLibrary();
// The language with every extension here (cel.bind, string reverse, math, base64): for tools and for the published conformance cases.
const Library& FullLibrary();

struct Variable {
  std::string name;
  TypePtr type;
  DeclTypePtr decl;   // may be null: no sizes known
};

class Env {
 public:
  explicit Env(const Library& library) : library_(&library) {}
  // The index of the variable in what Program::Eval is given.
  int Declare(std::string name, DeclTypePtr decl);
  int Declare(std::string name, TypePtr type, DeclTypePtr decl = nullptr);
  // Allows T{field: value} for this object type (by its name) and, below it, for its object fields.
  void DeclareStruct(const DeclTypePtr& object);
  // Allows NAME{…} and NAME.below{…} with any fields.
  void DeclareOpenStruct(std::string name) { open_struct_ = std::move(name); }
  void Replace(int index, TypePtr type) { variables_[static_cast<std::size_t>(index)].type = std::move(type); }

  const Library& library() const { return *library_; }
  const std::vector<Variable>& variables() const { return variables_; }
  int Find(std::string_view name) const;
  DeclTypePtr FindStruct(std::string_view name) const;

 private:
  const Library* library_;
  std::vector<Variable> variables_;
  std::map<std::string, DeclTypePtr, std::less<>> structs_;
  std::string open_struct_;
};

// Decides the type of every node and the candidates of every call. False when `errors` got entries.
bool Check(const Env& env, Expr& root, std::vector<SourceError>& errors);
// What is wrong although it type-checks: literals of durations, timestamps, patterns, mixed lists, format strings.
void ValidateLiterals(const Library& library, const Expr& root, std::vector<SourceError>& errors);

}  // namespace skerry::kube::cel
