#pragma once
#include "embedded-kube-shim/client/client.h"

// Changes as most listeners need them: who they are about. The object itself is there for whoever asks; in the process that stores it
// nothing is parsed before.
namespace skerry::kube {

class Change {
 public:
  struct Owner {
    std::string_view uid, api_version, kind, name;
    bool blocks = false;                                 // blockOwnerDeletion
  };
  virtual ~Change() = default;
  virtual Notification::Type type() const = 0;
  virtual std::string_view ns() const = 0;               // empty: the kind has none
  virtual std::string_view name() const = 0;
  virtual std::string_view uid() const = 0;
  virtual bool terminating() const = 0;
  virtual bool HasFinalizer(std::string_view finalizer) const = 0;
  virtual std::vector<Owner> owners() const = 0;
  virtual bool continues() const = 0;                    // a modification whose state before is at hand: nothing was missed in between
  virtual Notification Objects() const = 0;              // with the objects, parsed if nobody has parsed them yet
  Key key() const { return {std::string(ns()), std::string(name())}; }
};

// Informers that can tell so.
class ChangeInformers {
 public:
  using Callback = std::function<void(const Change&)>;   // everything it is given lives as long as the call
  virtual std::shared_ptr<void> SubscribeChanges(Resource, Callback) = 0;

 protected:
  ~ChangeInformers() = default;
};

// As Informers::Subscribe, for informers of both sorts.
std::shared_ptr<void> SubscribeChanges(Informers&, Resource, ChangeInformers::Callback);

}  // namespace skerry::kube
