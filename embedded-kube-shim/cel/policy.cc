#include "embedded-kube-shim/cel/policy.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

DeclTypePtr Text() { return SimpleDecl(TypeKind::kString); }
DeclTypePtr Texts() { return ListDecl(Text(), 0); }
DeclTypePtr TextMap() { return MapDecl(Text(), 0); }
DeclTypePtr Number() { return SimpleDecl(TypeKind::kInt); }
DeclTypePtr Time() { return SimpleDecl(TypeKind::kTimestamp); }

DeclTypePtr RequestDecl() {
  static const DeclTypePtr request = [] {
    const auto kind = ObjectDecl("kubernetes.GroupVersionKind", {{"group", Text()}, {"version", Text()}, {"kind", Text()}});
    const auto resource = ObjectDecl("kubernetes.GroupVersionResource", {{"group", Text()}, {"version", Text()}, {"resource", Text()}});
    const auto user = ObjectDecl("kubernetes.UserInfo", {{"username", Text()}, {"uid", Text()}, {"groups", Texts()}, {"extra", MapDecl(Texts(), 0)}});
    return ObjectDecl("kubernetes.AdmissionRequest", {{"kind", kind}, {"resource", resource}, {"subResource", Text()}, {"requestKind", kind}, {"requestResource", resource},
                                                      {"requestSubResource", Text()}, {"name", Text()}, {"namespace", Text()}, {"operation", Text()}, {"userInfo", user},
                                                      {"dryRun", SimpleDecl(TypeKind::kBool)}, {"options", DynDecl()}});
  }();
  return request;
}

DeclTypePtr NamespaceDecl() {
  static const DeclTypePtr ns = [] {
    const auto metadata = ObjectDecl("kubernetes.NamespaceMetadata", {{"name", Text()}, {"generateName", Text()}, {"namespace", Text()}, {"labels", TextMap()}, {"annotations", TextMap()},
                                                                      {"UID", Text()}, {"creationTimestamp", Time()}, {"deletionGracePeriodSeconds", Number()}, {"deletionTimestamp", Time()},
                                                                      {"generation", Number()}, {"resourceVersion", Text()}, {"finalizers", Texts()}});
    return ObjectDecl("kubernetes.Namespace", {{"metadata", metadata}, {"spec", ObjectDecl("kubernetes.NamespaceSpec", {{"finalizers", Texts()}})},
                                               {"status", ObjectDecl("kubernetes.NamespaceStatus", {{"phase", Text()}})}});
  }();
  return ns;
}

DeclTypePtr PatchDecl() {
  static const DeclTypePtr patch = ObjectDecl("JSONPatch", {{"op", Text()}, {"path", Text()}, {"from", Text()}, {"value", DynDecl()}});
  return patch;
}

constexpr std::size_t kFixed = 6;   // variables before params

Result<> Fits(const Type& type, Yields yields) {
  const auto wrong = [&](std::string_view wanted) { return Fail(Code::kInvalid, Cat("must evaluate to ", wanted, " but got ", TypeText(type))); };
  switch (yields) {
    case Yields::kBool: return type.kind == TypeKind::kBool ? Result<>() : wrong("bool");
    case Yields::kString: return type.kind == TypeKind::kString ? Result<>() : wrong("string");
    case Yields::kStringOrNull: return type.kind == TypeKind::kString || type.kind == TypeKind::kNull ? Result<>() : wrong("one of [string null_type]");
    case Yields::kObject: return type.name == "Object" ? Result<>() : wrong("Object");
    case Yields::kPatches: return type.kind == TypeKind::kList && type.params[0]->name == "JSONPatch" ? Result<>() : wrong("list(JSONPatch)");
    case Yields::kAnything: break;
  }
  return {};
}

}  // namespace

PolicyCompiler::PolicyCompiler(const PolicyFeatures& features, const PolicyTypes& types)
    : env_(features.mutation ? MutationLibrary() : KubernetesLibrary()), without_authorizer_(env_.library()), features_(features) {
  const auto declare = [](Env& env, const char* name, const DeclTypePtr& type) { type ? env.Declare(name, type) : env.Declare(name, Simple(TypeKind::kDyn)); };
  for (Env* env : {&env_, &without_authorizer_}) {
    const bool asks = env == &env_;   // what nobody may name keeps its place
    declare(*env, "object", types.object);
    declare(*env, "oldObject", types.object);
    env->Declare("request", FromDecl(RequestDecl()));
    env->Declare("namespaceObject", FromDecl(NamespaceDecl()));
    env->Declare(asks ? "authorizer" : "", AuthorizerType());
    env->Declare(asks ? "authorizer.requestResource" : "", ResourceCheckType());
    if (features.params) declare(*env, "params", types.params);
    if (!features.mutation) continue;
    env->DeclareStruct(PatchDecl());
    env->DeclareOpenStruct("Object");
  }
}

Result<ProgramPtr> PolicyCompiler::Compile(std::string_view expression, Yields yields, Authorizer authorizer) const {
  TRY(ProgramPtr program, Program::Compile(authorizer == Authorizer::kAllowed ? env_ : without_authorizer_, expression));
  TRY_VOID(Fits(*program->type(), yields));
  return program;
}

void PolicyCompiler::DeclareVariables() {
  // Variables keep the types that checking found, deeper than a declaration could say: one object type with them as fields.
  auto object = std::make_shared<DeclType>();
  object->kind = TypeKind::kObject;
  object->name = "kubernetes.variables";
  for (const auto& [declared, type] : declared_) {
    auto field = std::make_shared<DeclType>();
    field->kind = TypeKind::kDyn;
    field->checked_type = type;
    object->fields[declared] = DeclField{declared, std::move(field), false};
  }
  const TypePtr type = FromDecl(object);
  for (Env* env : {&env_, &without_authorizer_}) {
    if (variables_index_ < 0) env->Declare("variables", type);
    else env->Replace(variables_index_, type);
  }
  variables_index_ = env_.Find("variables");
}

Result<ProgramPtr> PolicyCompiler::AddVariable(const std::string& name, std::string_view expression) {
  auto program = Compile(expression, Yields::kAnything);
  declared_.emplace_back(name, program ? (*program)->type() : Simple(TypeKind::kDyn));
  DeclareVariables();
  return program;
}

// Evaluates a variable when it is asked for. Variables see those before them only: the compiler made sure.
class PolicyRun::Variables : public MapLike {
 public:
  explicit Variables(PolicyRun& run) : run_(run) {}
  std::size_t size() const override { return run_.variables_.size(); }
  std::optional<Val> Find(const Val& key) const override {
    const auto known = values_.find(key.text());
    if (known != values_.end()) return known->second;
    const auto variable = std::ranges::find(run_.variables_, key.text(), &NamedProgram::name);
    if (variable == run_.variables_.end()) return std::nullopt;
    const EvalResult result = run_.Run(*variable->program);
    Val value = result.value;
    if (value.is_error() && !result.cancelled) value = Val::Error(Cat("composited variable ", Quote(key.text()), " fails to evaluate: ", result.value.text()));
    values_.emplace(std::string(key.text()), value);
    return value;
  }
  void ForEach(const std::function<bool(Val, Val)>& visit) const override {
    for (const NamedProgram& variable : run_.variables_) {
      const Val key = Val::StringView(variable.name);
      if (!visit(key, *Find(key))) return;
    }
  }
  std::string_view type_name() const override { return "kubernetes.variables"; }

 private:
  PolicyRun& run_;
  mutable std::map<std::string, Val, std::less<>> values_;
};

PolicyRun::PolicyRun(PolicyValues values, const std::vector<NamedProgram>& variables, std::uint64_t budget, const PolicyFeatures& features)
    : values_(std::move(values)), variables_(variables), budget_(budget), features_(features) {
  lazy_ = Val::Of(std::unique_ptr<const MapLike>(new Variables(*this)));
}

EvalResult PolicyRun::Run(const Program& program) {
  std::vector<Val> arguments;
  arguments.reserve(kFixed + 2);
  for (const Val* value : {&values_.object, &values_.old_object, &values_.request, &values_.namespace_object, &values_.authorizer, &values_.request_resource}) arguments.push_back(*value);
  if (features_.params) arguments.push_back(values_.params);
  arguments.push_back(lazy_);
  EvalResult result = program.Run(arguments, std::min(kPerCallLimit, budget_));
  if (result.cost > budget_) {
    budget_ = 0;
    result.cancelled = true;
    result.value = Val::Error("validation failed due to running out of cost budget, no further validation rules will be run");
  } else {
    budget_ -= result.cost;
  }
  return result;
}

}  // namespace skerry::kube::cel
