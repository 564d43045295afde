#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/json/value.h"

// JSON that must come out as it came in: documents embedded in others that a client may compare by their bytes. A value can carry a note of how
// it was written: a container that it had white space inside, a number that it had a fraction or an exponent. Notes are no part of equality;
// Clone() copies them.
namespace skerry::json {

// As Parse(), with notes.
Result<Value> ParseAsWritten(std::string_view text);
// As Parse() with ParseOptions::keep_duplicates, with notes.
Result<Value> ParseBodyAsWritten(std::string_view text);
// As Dump(), but ", " and ": " where there was white space, and 7.0 where it was no 7.
void DumpAsWritten(const Value& value, std::string& out);
std::string DumpAsWritten(const Value& value);

bool HasNote(const Value& value);
void Note(Value& value);     // of containers and of doubles
void Forget(Value& value);   // of this value, not of what is in it

}  // namespace skerry::json
