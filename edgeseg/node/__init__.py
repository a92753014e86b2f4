"""A DICOM node: takes instances from the network and sends results back."""
