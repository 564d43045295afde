#include "embedded-kube-shim/cel/device_selector.h"

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

constexpr std::uint64_t kMostNames = 32;   // attributes and capacities of one device

DeclTypePtr Sized(TypeKind kind, std::uint64_t most) {
  auto decl = std::make_shared<DeclType>();
  decl->kind = kind;
  decl->max_elements = most;
  return decl;
}

DeclTypePtr ByDomain(DeclTypePtr value) { return MapDecl(MapDecl(std::move(value), kMostNames), kMostNames); }

DeclTypePtr DeviceDecl() {
  auto amount = std::make_shared<DeclType>();
  amount->kind = TypeKind::kDyn;
  amount->checked_type = StructType("kubernetes.Quantity");
  return ObjectDecl("kubernetes.DRADevice", {{"driver", Sized(TypeKind::kString, 63)},
                                             {"allowMultipleAllocations", Sized(TypeKind::kBool, 1)},
                                             {"attributes", ByDomain(Sized(TypeKind::kDyn, 64))},
                                             {"capacity", ByDomain(std::move(amount))}});
}

const Env& DeviceEnv() {
  static const Env env = [] {
    Env made(DeviceLibrary());
    made.Declare("device", DeviceDecl());
    return made;
  }();
  return env;
}

}  // namespace

Result<ProgramPtr> CompileDeviceSelector(std::string_view expression) {
  TRY(ProgramPtr program, Program::Compile(DeviceEnv(), expression));
  const TypeKind kind = program->type()->kind;
  if (kind != TypeKind::kBool && kind != TypeKind::kDyn) return Fail(Code::kInvalid, Cat("must evaluate to bool or the unknown type, not ", TypeText(*program->type())));
  return program;
}

}  // namespace skerry::kube::cel
