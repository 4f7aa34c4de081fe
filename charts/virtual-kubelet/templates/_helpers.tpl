{{- define "vk.name" -}}
{{- default .Values.nodeName .Values.env.nodeName | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "vk.provider" -}}
{{- $azure := .Values.providers.azure -}}
{{- $old := .Values.env -}}
{{- if .Values.provider -}}
{{ .Values.provider }}
{{- else if or $old.azureClientId $old.azureSubscriptionId $old.aciResourceGroup $azure.clientId $azure.managedIdentityID $azure.subscriptionId $azure.aciResourceGroup -}}
azure
{{- else -}}
mock
{{- end -}}
{{- end -}}

{{- define "vk.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.name }}/{{ . }}{{ end }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "vk.createRbac" -}}
{{- if and .Values.rbac.create (ne (toString .Values.rbac.install) "false") -}}
yes
{{- end -}}
{{- end -}}

{{- define "vk.cert" -}}
{{- with default .Values.apiserverCert .Values.env.apiserverCert -}}
{{ include "vk.pem" . }}
{{- end -}}
{{- end -}}

{{- define "vk.key" -}}
{{ include "vk.pem" (required "apiserverCert needs apiserverKey" (default .Values.apiserverKey .Values.env.apiserverKey)) }}
{{- end -}}

{{- /* The original chart wanted base64. */ -}}
{{- define "vk.pem" -}}
{{- if hasPrefix "-----BEGIN" . -}}
{{ . }}
{{- else -}}
{{ b64dec . }}
{{- end -}}
{{- end -}}

{{- define "vk.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{ .Values.serviceAccount.name }}
{{- else if .Values.rbac.serviceAccountName -}}
{{ .Values.rbac.serviceAccountName }}
{{- else if .Values.serviceAccount.create -}}
{{ include "vk.name" . }}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "vk.selector" -}}
app.kubernetes.io/name: virtual-kubelet
app.kubernetes.io/instance: {{ include "vk.name" . }}
{{- end -}}

{{- define "vk.labels" -}}
{{ include "vk.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "vk.secretEnv" -}}
{{- $azure := .Values.providers.azure -}}
{{- with default $azure.clientKey .Values.env.azureClientKey }}
AZURE_CLIENT_SECRET: {{ . | quote }}
{{- end }}
{{- if $azure.loganalytics.enabled }}
LOG_ANALYTICS_KEY: {{ required "providers.azure.loganalytics.workspaceKey is required" $azure.loganalytics.workspaceKey | quote }}
{{- end }}
{{- range $name, $value := .Values.providerEnv }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "vk.azureEnv" -}}
{{- $azure := .Values.providers.azure -}}
{{- $old := .Values.env -}}
{{- with default $azure.clientId $old.azureClientId }}
- name: AZURE_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- with default $azure.tenantId $old.azureTenantId }}
- name: AZURE_TENANT_ID
  value: {{ . | quote }}
{{- end }}
{{- with default $azure.subscriptionId $old.azureSubscriptionId }}
- name: AZURE_SUBSCRIPTION_ID
  value: {{ . | quote }}
{{- end }}
{{- with default $azure.aciResourceGroup $old.aciResourceGroup }}
- name: ACI_RESOURCE_GROUP
  value: {{ . | quote }}
{{- end }}
{{- with default $azure.aciRegion $old.aciRegion }}
- name: ACI_REGION
  value: {{ . | quote }}
{{- end }}
{{- with $azure.managedIdentityID }}
- name: VIRTUALNODE_USER_IDENTITY_CLIENTID
  value: {{ . | quote }}
{{- end }}
{{- if $azure.enableRealTimeMetrics }}
- name: ENABLE_REAL_TIME_METRICS
  value: "true"
{{- end }}
{{- if $azure.vnet.enabled }}
{{- with $azure.vnet.vnetSubscriptionID }}
- name: ACI_VNET_SUBSCRIPTION_ID
  value: {{ . | quote }}
{{- end }}
- name: ACI_VNET_RESOURCE_GROUP
  value: {{ required "providers.azure.vnet.vnetResourceGroup is required" $azure.vnet.vnetResourceGroup | quote }}
- name: ACI_VNET_NAME
  value: {{ required "providers.azure.vnet.vnetName is required" $azure.vnet.vnetName | quote }}
- name: ACI_SUBNET_NAME
  value: {{ required "providers.azure.vnet.subnetName is required" $azure.vnet.subnetName | quote }}
{{- with $azure.vnet.subnetCidr }}
- name: ACI_SUBNET_CIDR
  value: {{ . | quote }}
{{- end }}
{{- with $azure.vnet.clusterCidr }}
- name: CLUSTER_CIDR
  value: {{ . | quote }}
{{- end }}
{{- with $azure.vnet.kubeDnsIp }}
- name: KUBE_DNS_IP
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if $azure.loganalytics.enabled }}
- name: LOG_ANALYTICS_ID
  value: {{ required "providers.azure.loganalytics.workspaceId is required" $azure.loganalytics.workspaceId | quote }}
{{- with $azure.loganalytics.clusterResourceId }}
- name: CLUSTER_RESOURCE_ID
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
