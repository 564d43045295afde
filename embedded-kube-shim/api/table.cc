#include "embedded-kube-shim/api/table.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/text/jsonpath.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/api/table_columns.h"
#include "embedded-kube-shim/api/table_format.h"

namespace skerry::kube {

namespace {

using json::Value;

Value Column(std::string_view name, std::string_view type, std::string_view format, std::string_view description, std::int64_t priority) {
  Value out = Value::Object();
  out.Set("name") = Value(name);
  out.Set("type") = Value(type);
  out.Set("format") = Value(format);
  out.Set("description") = Value(description);
  out.Set("priority") = Value(priority);
  return out;
}

const columns::KindRow* FindColumns(std::string_view group, std::string_view kind) {
  const columns::KindRow* end = columns::kKinds + columns::kKindCount;
  const auto* it = std::find_if(columns::kKinds, end, [&](const columns::KindRow& row) { return row.group == group && row.kind == kind; });
  return it == end ? nullptr : it;
}

// A custom resource without columns of its own shows its age.
const std::vector<PrinterColumn>& ColumnsOf(const Version& version) {
  static const std::vector<PrinterColumn> kAge = [] {
    PrinterColumn age;
    age.name = "Age";
    age.type = "date";
    age.description = columns::kAgeDescription;
    age.json_path = ".metadata.creationTimestamp";
    return std::vector<PrinterColumn>{age};
  }();
  return version.columns.empty() ? kAge : version.columns;
}

// JSONPath's text form: documents as JSON, numbers as Go prints them.
std::string PlainText(const Value& value) { return value.is_object() || value.is_array() ? value.Dump() : GoPrint(value); }

Value CustomCell(const PrinterColumn& column, const Value& object, const printer::Row& row) {
  const auto path = text::JsonPath::Parse(column.json_path);
  if (!path) return Value();
  const auto found = path->Find(object);
  if (found.empty()) return Value();
  const Value& value = *found.front();
  if (column.type == "string") return Value(PlainText(value));
  if (column.type == "boolean") return value.is_bool() ? value.Clone() : Value();
  if (column.type == "integer") return value.is_number() ? Value(value.is_int() ? value.Int() : static_cast<std::int64_t>(value.Double())) : Value();
  if (column.type == "number") return value.is_number() ? value.Clone() : Value();
  if (column.type != "date" || !value.is_string()) return Value();
  printer::Time when;
  if (!printer::ParseTime(value.Str(), &when)) return Value(value.Str().empty() ? "<unknown>" : "<invalid>");
  return Value(row.Since(value));
}

Value EmbeddedObject(const ResourceDef& def, const Version& version, const Value& object, IncludeObject include) {
  if (include == IncludeObject::kNone) return Value();
  Value out = Value::Object();
  if (include == IncludeObject::kMetadata) {
    out.Set("kind") = Value("PartialObjectMetadata");
    out.Set("apiVersion") = Value("meta.k8s.io/v1");
    out.Set("metadata") = object["metadata"].is_null() ? Value::Object() : object["metadata"].Clone();
    return out;
  }
  out.Set("kind") = Value(def.kind);
  out.Set("apiVersion") = Value(def.Kind(version.name).api_version());
  for (const auto& member : object.Members())
    if (member.key != "kind" && member.key != "apiVersion") out.Set(member.key) = member.value.Clone();
  return out;
}

}  // namespace

Value TableColumns(const ResourceDef& def, const Version& version) {
  Value out = Value::Array();
  if (def.custom) {
    out.Append(Column("Name", "string", "name", columns::kNameDescription, 0));
    for (const auto& column : ColumnsOf(version)) {
      const std::string description = column.description.empty() ? Cat("Custom resource definition column (in JSONPath format): ", column.json_path) : column.description;
      out.Append(Column(column.name, column.type, column.format, description, column.priority));
    }
    return out;
  }
  const columns::KindRow* kind = FindColumns(def.group, def.kind);
  if (!kind) {
    out.Append(Column("Name", "string", "name", columns::kNameDescription, 0));
    out.Append(Column("Created At", "date", "", columns::kAgeDescription, 0));
    return out;
  }
  for (int i = 0; i < kind->count; ++i) {
    const columns::ColumnRow& row = columns::kColumns[kind->first + i];
    out.Append(Column(row.name, row.type, row.format, row.description, row.priority));
  }
  return out;
}

Value TableRow(const ResourceDef& def, const Version& version, const Value& object, IncludeObject include, std::chrono::system_clock::time_point now) {
  printer::Row row(object, now);
  if (def.custom) {
    row.AddName();
    for (const auto& column : ColumnsOf(version)) row.Add(CustomCell(column, object, row));
  } else if (const printer::Printer print = printer::FindPrinter(def.group, def.kind)) {
    print(row);
  } else {
    // The bookmark behind initial events is no object: its time is Go's zero.
    row.AddName().AddText(object.At({"metadata", "creationTimestamp"}), "0001-01-01T00:00:00Z");
  }
  Value out = Value::Object();
  out.Set("cells") = std::move(row.cells);
  if (!row.conditions.is_null()) out.Set("conditions") = std::move(row.conditions);
  out.Set("object") = EmbeddedObject(def, version, object, include);
  return out;
}

const json::NameSet& UnprintedMembers(const ResourceDef& def) {
  static const json::NameSet any{"managedFields"};
  // Of a pod's specification containers count, of the rest little is shown.
  static const json::NameSet pod{"managedFields", "annotations", "labels", "ownerReferences", "env", "envFrom", "args", "command", "ports", "resources", "allocatedResources", "volumes", "volumeMounts",
                                 "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "securityContext", "affinity", "tolerations", "topologySpreadConstraints", "nodeSelector",
                                 "hostAliases", "imagePullSecrets", "image", "imagePullPolicy", "imageID", "containerID", "terminationMessagePath", "terminationMessagePolicy", "resizePolicy",
                                 "dnsPolicy", "dnsConfig", "serviceAccount", "serviceAccountName", "schedulerName", "enableServiceLinks", "priority", "preemptionPolicy",
                                 "terminationGracePeriodSeconds", "hostIP", "hostIPs", "podIP", "qosClass", "message", "lastProbeTime", "lastTransitionTime"};
  return def.group.empty() && def.kind == "Pod" ? pod : any;
}

Value TableFrame(Value list_metadata, Value columns) {
  Value out = Value::Object();
  out.Set("kind") = Value("Table");
  out.Set("apiVersion") = Value("meta.k8s.io/v1");
  out.Set("metadata") = list_metadata.is_null() ? Value::Object() : std::move(list_metadata);
  out.Set("columnDefinitions") = columns.is_null() ? Value() : std::move(columns);
  out.Set("rows") = Value::Array();
  return out;
}

}  // namespace skerry::kube
