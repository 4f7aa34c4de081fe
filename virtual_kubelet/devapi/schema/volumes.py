"""`k8s.io/api/core/v1`: volumes of pods."""

from __future__ import annotations

__all__ = ["VOLUMES"]

VOLUMES = """
Volume
    1 name string!, 2 * VolumeSource
VolumeSource
    1 hostPath HostPathVolumeSource, 2 emptyDir EmptyDirVolumeSource, 3 gcePersistentDisk any,
    4 awsElasticBlockStore any, 5 gitRepo GitRepoVolumeSource, 6 secret SecretVolumeSource, 7 nfs NFSVolumeSource,
    8 iscsi any, 9 glusterfs any, 10 persistentVolumeClaim PersistentVolumeClaimVolumeSource, 11 rbd any,
    12 flexVolume any, 13 cinder any, 14 cephfs any, 15 flocker any, 16 downwardAPI DownwardAPIVolumeSource, 17 fc any,
    18 azureFile AzureFileVolumeSource, 19 configMap ConfigMapVolumeSource, 20 vsphereVolume any, 21 quobyte any,
    22 azureDisk any, 23 photonPersistentDisk any, 24 portworxVolume any, 25 scaleIO any,
    26 projected ProjectedVolumeSource, 27 storageos any, 28 csi CSIVolumeSource, 29 ephemeral any,
    30 image ImageVolumeSource
HostPathVolumeSource
    1 path string!, 2 type string?
EmptyDirVolumeSource
    1 medium string, 2 sizeLimit Quantity?
GitRepoVolumeSource
    1 repository string!, 2 revision string, 3 directory string
SecretVolumeSource
    1 secretName string, 2 items [KeyToPath], 3 defaultMode int32?, 4 optional bool?
KeyToPath
    1 key string!, 2 path string!, 3 mode int32?
NFSVolumeSource
    1 server string!, 2 path string!, 3 readOnly bool
PersistentVolumeClaimVolumeSource
    1 claimName string!, 2 readOnly bool
DownwardAPIVolumeSource
    1 items [DownwardAPIVolumeFile], 2 defaultMode int32?
DownwardAPIVolumeFile
    1 path string!, 2 fieldRef ObjectFieldSelector, 3 resourceFieldRef ResourceFieldSelector, 4 mode int32?
AzureFileVolumeSource
    1 secretName string!, 2 shareName string!, 3 readOnly bool
ConfigMapVolumeSource
    1 * LocalObjectReference, 2 items [KeyToPath], 3 defaultMode int32?, 4 optional bool?
ProjectedVolumeSource
    1 sources [VolumeProjection], 2 defaultMode int32?
VolumeProjection
    1 secret SecretProjection, 2 downwardAPI DownwardAPIProjection, 3 configMap ConfigMapProjection,
    4 serviceAccountToken ServiceAccountTokenProjection, 5 clusterTrustBundle any, 6 podCertificate any
SecretProjection
    1 * LocalObjectReference, 2 items [KeyToPath], 4 optional bool?
DownwardAPIProjection
    1 items [DownwardAPIVolumeFile]
ConfigMapProjection
    1 * LocalObjectReference, 2 items [KeyToPath], 4 optional bool?
ServiceAccountTokenProjection
    1 audience string, 2 expirationSeconds int64?, 3 path string!
CSIVolumeSource
    1 driver string!, 2 readOnly bool?, 3 fsType string?, 4 volumeAttributes {string},
    5 nodePublishSecretRef LocalObjectReference
ImageVolumeSource
    1 reference string, 2 pullPolicy string
"""
