#pragma once
#include "core/json/value.h"

// Documents that do not change any more lend their parts to others: a version of an object has most of what the one before it had.
namespace skerry::json {

// From now on nobody changes the document through a reference or pointer into it. What is empty stays as it is. Any number of threads may
// then read and Share() it; changing a Value that holds it (Set, Mutable…, Find on what is not const, Erase) changes that Value alone.
void Freeze(Value& document);
// An object or array that is part of a frozen document and has not been changed since.
bool IsFrozen(const Value& value);
// As Clone(), but what is frozen is shared.
Value Share(const Value& value);
// The very same part of one document, or of several that share it: equal without a look.
bool IsSamePart(const Value& a, const Value& b);
// Makes what both documents have in the same place with the same content, order and notes the very same part, as far as it is frozen in `known`.
void Unify(Value& document, const Value& known);

}  // namespace skerry::json
